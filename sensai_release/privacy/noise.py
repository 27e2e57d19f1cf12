"""Gaussian noise that is the same for one cell in every build, so that no number of releases averages it out.

A pseudo-random function of the cell's address takes the place of a generator: AES-256 (FIPS 197) under the column's
key, on one block a row that holds the row's key and its number. Order of rows, number of workers and what else is in
the table make no difference. Two outputs of 53 bits become one standard normal number (Box and Muller,
https://doi.org/10.1214/aoms/1177706645). The working key comes from `privacy.keys` (purpose `noise`); scaling, rounding
and the range are `privacy.actions`'.
"""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sensai_release.errors import InputError
from sensai_release.privacy.keys import frame

Floats = npt.NDArray[np.float64]

_KEY_BYTES, _NUMBER_BYTES = 12, 4
_LARGEST = (1 << 8 * _NUMBER_BYTES) - 1


def standard_normal(
    key: bytes, address: tuple[str, ...], rows: pa.Array | pa.ChunkedArray, numbers: pa.Array | pa.ChunkedArray
) -> Floats:
    """One draw from N(0, 1) for each row, a function of `key`, `address`, the row's key and its number alone.

    `address` names what the noise is for (table, column, sigma), `rows` are texts (pseudonyms), `numbers` whole numbers
    from 0 to 2^32 - 1 that tell the rows of one key apart. Raises `InputError` for a missing key or another number, and
    for two rows of one address: their noise would be equal, and their difference exact.
    """
    blocks = _blocks(rows, numbers)
    if len(blocks) == 0:
        return np.zeros(0)
    column_key = hmac.digest(key, frame([text.encode("utf-8") for text in address]), "sha256")
    # ECB is right here and only here: every block stands once, and the cipher serves as a pseudo-random function.
    encryptor = Cipher(algorithms.AES(column_key), modes.ECB()).encryptor()  # noqa: S305
    words = np.frombuffer(encryptor.update(blocks.tobytes()), dtype=">u8").reshape(-1, 2) >> np.uint64(11)
    # The first is above zero, so that its logarithm is finite.
    first, second = (words[:, 0] + np.uint64(1)) * 2.0**-53, words[:, 1] * 2.0**-53
    normal: Floats = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
    return normal


def _blocks(rows: pa.Array | pa.ChunkedArray, numbers: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """Sixteen bytes a row: 96 bits of SHA-256 of the row's key, and the number."""
    cure = "Give every row its key and its number."
    if rows.null_count or numbers.null_count:
        raise InputError("noise", f"{rows.null_count + numbers.null_count} keys of rows are missing", cure)
    counted = np.asarray(pc.cast(numbers, pa.int64()).to_numpy(), dtype=np.int64)
    if ((counted < 0) | (counted > _LARGEST)).any():
        raise InputError("noise", "numbers of rows are negative or above 2^32", cure)
    encoded = pc.dictionary_encode(rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows)
    keys: list[str] = encoded.dictionary.to_pylist()
    digests = b"".join(hashlib.sha256(text.encode("utf-8")).digest()[:_KEY_BYTES] for text in keys)
    of_key = np.frombuffer(digests, dtype=np.uint8).reshape(len(keys), _KEY_BYTES)
    indices = encoded.indices.to_numpy()
    pairs = pa.table({"row": indices, "number": counted})
    if pairs.group_by(["row", "number"]).aggregate([]).num_rows < len(counted):
        raise InputError("noise", "two rows share one key", "Noise needs a primary key that tells all rows apart.")
    return np.hstack([of_key[indices], counted.astype(">u4").view(np.uint8).reshape(-1, _NUMBER_BYTES)])
