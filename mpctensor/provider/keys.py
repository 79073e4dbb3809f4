"""Keys of the PRG streams, derived from seeds for one purpose each.

KDF: BLAKE2b keyed with the seed over (purpose, session nonce, detail), 16 bytes out. The nonce
hashes fresh bytes of every member, so a restarted session never repeats a stream.
"""

from hashlib import blake2b

SEED = 32  # bytes that each member contributes


def derive(seed: bytes, purpose: str, nonce: bytes, detail: bytes = b"") -> bytes:
    """A 16-byte AES key; different purposes, nonces or details give unrelated keys."""
    person = purpose.encode().ljust(16, b"\0")
    return blake2b(nonce + detail, digest_size=16, key=seed, person=person).digest()


def mask_key(seed: bytes, nonce: bytes) -> bytes:
    """Keys a party's masks r; the stream is the mask's id."""
    return derive(seed, "mask", nonce)


def operation_key(seed: bytes, nonce: bytes, digest: bytes) -> bytes:
    """Keys everything else of one operation: output shares, bit masks, wrap bits."""
    return derive(seed, "operation", nonce, digest)


def contribution(text: object) -> bytes | None:
    """A member's fresh bytes from their hexadecimal form; None for anything else."""
    try:
        value = bytes.fromhex(text) if isinstance(text, str) and len(text) == 2 * SEED else b""
    except ValueError:
        return None
    return value if len(value) == SEED else None


def combined(*shares: bytes) -> bytes:
    """A 32-byte seed or nonce to which every member has contributed fresh bytes of its own."""
    return blake2b(b"".join(shares), digest_size=32, person=b"combined").digest()
