"""A Config to YAML text."""

import yaml

from hubpipe.config import scalars, schema


def dump(config: schema.Config) -> str:
    """The resolved config with all its defaults, as a YAML file that loads to an equal Config.

    Args:
        config: any Config.
    Returns:
        YAML text, keys in the order of the schema.
    """
    return yaml.dump(
        config.model_dump(mode="json"),
        Dumper=scalars.Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )
