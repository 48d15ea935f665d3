"""CORE: a message's key, and the stand-in serial of a bike that nothing has named yet."""

from hashlib import sha256

# In bytes: keys and the serials made of them stand in indexes, which hold about 2,700.
LONGEST_KEY = 255


def stream_key(key: bytes | None) -> bytes:
    """A message's key as its stream's: none is b"", and a long one its digest, for the index."""
    if key is None or len(key) <= LONGEST_KEY:
        return key or b""
    return b"sha256:" + sha256(key).hexdigest().encode()


def unknown_bike(key: bytes, partition: int = 0) -> str:
    """The stand-in serial of a bike that its stream has not named yet.

    The stream of messages without a key is that of its partition.
    """
    if not key:
        return f"unknown:partition {partition}"
    name = key.decode(errors="backslashreplace").replace("\0", "")
    return f"unknown:{name}"
