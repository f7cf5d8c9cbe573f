"""Every exception class of hubpipe.

A HubpipeError is the user's to mend: its message says where, what with its value, and what is accepted or
what to do. Commands print that message alone. The second bases are the types that users of tensorflow_hub
and Python catch for the same mistake.

    HubpipeError
    |-- ConfigError                       a YAML file or an override; holds every problem found
    |-- UsageError                        a command line
    |-- InputError                        a data file
    |-- TrainingError                     a run that cannot start or go on
    |-- ExportError                       an exporter that cannot export
    |   |-- ExportArgumentError           (ValueError) an argument that an exporter cannot have
    |   |-- ExportExistsError             (FileExistsError) the target directory is not empty
    |   |-- ParityError                   a module and its twin that are not the same model
    |   `-- LossyError                    a conversion that would lose part of a module
    |-- StoreError                        a store of versions
    |   `-- UnknownVersionError           a version, or a module of a store, that is not there
    |-- BusyError                         a job that another process is at
    |   `-- LockLostError                 a job that another process took over
    |-- FormatError     (ValueError)      a broken or unsupported file on disk
    |   |-- NotAModuleError               a directory that is no module at all
    |   `-- SavedModelError (OSError)     a directory that holds no SavedModel that can become a module
    |-- ModuleSpecError (ValueError)      a module_fn whose graph cannot become a module
    |-- SignatureError  (ValueError, KeyError)  an unknown signature, tag set or module spec
    |-- SignatureInputError (TypeError, ValueError)  inputs of a call that do not fit the signature
    |-- ModuleStateError (RuntimeError)   a module used outside its graph or scope
    |-- AttachmentError (ValueError)      a malformed key of an attached message
    |-- MissingAttachmentError (KeyError) a required attached message that is absent
    |-- ColumnError     (ValueError)      a module or an argument that a feature column cannot use
    |-- ColumnConfigError (NotImplementedError)  a feature column that has no configuration
    `-- HandleError     (OSError)         a module handle that leads nowhere

    ResourceError       (OSError)         memory, disk or a process gave out. Not a HubpipeError, since those are
                                          what a module is refused for: of the module this says nothing.
"""

from collections.abc import Sequence


class HubpipeError(Exception):
    """Base class; its message is meant for the user."""

    ag_pass_through = True  # in functions that AutoGraph converts, too, it stays what it is

    def __str__(self) -> str:  # KeyError would print the repr
        return Exception.__str__(self)


class ConfigError(HubpipeError):
    """One or more problems in a config file or in overrides.

    Attributes:
        problems: list of str, one line each, "file:line: key: what is wrong".
    """

    def __init__(self, problems: Sequence[str]):
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class UsageError(HubpipeError):
    """Arguments that a command does not take."""


class InputError(HubpipeError):
    """A data file that cannot be read as the config says."""


class TrainingError(HubpipeError):
    """A training run that cannot start or go on."""


class ExportError(HubpipeError):
    """An exporter that cannot export."""


class ExportArgumentError(ExportError, ValueError):
    """An argument that an exporter cannot have."""


class ExportExistsError(ExportError, FileExistsError):
    """The directory to export to exists and is not empty."""


class ParityError(ExportError):
    """A module and its twin that are not the same model."""


class LossyError(ExportError):
    """A conversion that would lose part of a module, which was not accepted."""


class StoreError(HubpipeError):
    """A store of versions that is in a state it must not be in."""


class UnknownVersionError(StoreError):
    """A version, or a module of a store, that was named and is not there, or has a name that none can have."""


class BusyError(HubpipeError):
    """A job that another process is at."""


class LockLostError(BusyError):
    """A job that another process took over, since this one gave no sign of life."""


class FormatError(HubpipeError, ValueError):
    """A file of a module or checkpoint that is broken or not supported."""


class NotAModuleError(FormatError):
    """A directory that was named as a module and is none."""


class SavedModelError(FormatError, OSError):
    """A directory that holds no SavedModel, or none that can become a module."""


class ModuleSpecError(HubpipeError, ValueError):
    """A module_fn whose graph cannot become a module."""


class SignatureError(HubpipeError, ValueError, KeyError):
    """An unknown signature, tag set or module spec."""


class SignatureInputError(HubpipeError, TypeError, ValueError):
    """Inputs of a call that do not fit the signature."""


class ModuleStateError(HubpipeError, RuntimeError):
    """A module used outside the graph or the scope it belongs to."""


class AttachmentError(HubpipeError, ValueError):
    """A malformed key of an attached message."""


class MissingAttachmentError(HubpipeError, KeyError):
    """A required attached message that is absent."""


class ColumnError(HubpipeError, ValueError):
    """A module or an argument that a feature column cannot use."""


class ColumnConfigError(HubpipeError, NotImplementedError):
    """A feature column that has no configuration; Keras then saves a model without one."""


class HandleError(HubpipeError, OSError):
    """A module handle that leads nowhere."""


class ResourceError(OSError):
    """Memory, disk or a process of hubpipe's own that gave out; the same may work later."""
