"""Governed curation and release of derived features about people.

The public Python interface is `open_release`; everything else is reached through the command `sensai-release`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensai_release.release.opened import Release as Release
    from sensai_release.release.opened import open_release as open_release

__version__ = "0.1.0"
__all__ = ["Release", "__version__", "open_release"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import sensai_release` and `--help` must not pay for pyarrow.
    if name in ("Release", "open_release"):
        from sensai_release.release import opened

        return getattr(opened, name)
    raise AttributeError(name)
