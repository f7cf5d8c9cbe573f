"""Handles of modules: paths, archives and URLs to local directories, through a cache."""
