"""What a version must pass before it is published: each gate answers with its reasons and numbers."""
