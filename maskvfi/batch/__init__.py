"""Many videos interpolated by Ray workers, to the same frames as `interpolate` makes."""

from maskvfi.errors import OptionError
from maskvfi.extras import install_command

try:
    import fsspec  # noqa: F401
    import pyarrow  # noqa: F401
    import ray  # noqa: F401
except ModuleNotFoundError as error:
    raise OptionError(f"batch needs {error.name}: {install_command('ray')}") from None

from maskvfi.batch.results import Row
from maskvfi.batch.run import Summary, batch

__all__ = ["Row", "Summary", "batch"]
