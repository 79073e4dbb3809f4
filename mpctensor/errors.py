"""The errors that mpctensor raises; each message names the value at fault and the way out."""


class MPCError(Exception):
    """Base of every error that is mpctensor's own."""


class SecretLeakError(MPCError):
    """A call would put a secret into plain memory or let control flow depend on it.

    None of Python's own errors, which callers catch to try something else: Tensor.split does.
    """


class SecretBranchError(SecretLeakError, ValueError):
    """A branch on a secret: a ValueError, as where a truth value is ambiguous."""


class EncodingError(MPCError, ValueError):
    """A value cannot be represented in the ring: NaN, infinite, or out of range."""


class UnsupportedOperationError(MPCError, NotImplementedError):
    """The operation has no meaning on secret shares yet; the message says what to use instead."""


class SessionError(MPCError, RuntimeError):
    """Tensors of different sessions, a closed session, bad settings, desynchronised parties."""


class PeerError(SessionError):
    """A peer is gone, timed out, or is not who it claims to be."""


class MissingCheckpointError(SessionError, FileNotFoundError):
    """No party has a checkpoint there yet, so a run may start from the beginning."""


class Terminated(SystemExit):
    """This process was told to end (SIGTERM) and does, as by `sys.exit`; peers are told."""


class RequestError(MPCError, ValueError):
    """A request to the provider is malformed, or asks for more than the provider's settings let."""
