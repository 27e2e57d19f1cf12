"""The names of the files that make a directory a release. What they hold is for `manifest`, `dsse` and `tlog`."""

from __future__ import annotations

MANIFEST = "manifest.json"
ENVELOPE = "manifest.dsse.json"
CHECKSUMS = "SHA256SUMS"
PROOF = "manifest.tlog-proof"
"""The file of a release that shows its entry in the log. Like the signatures, it comes after the manifest."""
OPTIONAL = frozenset({PROOF})
"""The files that may come after the signatures, and may be absent: the proof that the release is in the log."""
UNLISTED = frozenset({MANIFEST, ENVELOPE, CHECKSUMS}) | OPTIONAL
"""The files that no manifest lists: itself, its signatures, the checksums that cover it, and what is optional."""
CANDIDATE = "payload.json"
"""What a package holds that is not released yet, where a release has its manifest."""
