"""The leak scan: nothing of the source, and nothing that looks like a person's number or place, in any byte.

`canaries` says what of the source must never be seen again, `matching` looks for thousands of such texts at once,
`patterns` knows the forms of numbers and addresses, `unwrap` takes files and encodings apart, and `scan` puts them
together. Findings name a file, a kind and a count; what was found is never shown. Which folders are scanned, and from
which source the canaries come, is for `pipeline.scan`.
"""

from __future__ import annotations

from sensai_release.privacy.leakscan.canaries import Canaries, CanaryBuilder
from sensai_release.privacy.leakscan.scan import KINDS, scan_bytes, scan_tree
from sensai_release.privacy.leakscan.unwrap import ScanLimits

__all__ = ["KINDS", "Canaries", "CanaryBuilder", "ScanLimits", "scan_bytes", "scan_tree"]
