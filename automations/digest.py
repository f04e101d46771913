"""SHA-256 without OpenSSL: hashlib maps 3 MB of it into a process that lives for months."""

try:
    from _sha2 import sha256  # type: ignore[import-not-found]  # Python 3.12 and later
except ImportError:
    from _sha256 import sha256  # type: ignore[import-not-found]  # Python 3.11


def short_hash(content: bytes) -> str:
    """The first 16 hex digits of SHA-256."""
    digest: str = sha256(content).hexdigest()
    return digest[:16]
