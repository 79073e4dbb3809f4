"""What a party tells all others about itself: public words, neither masked nor secret.

1 round, 64 bits a word.
"""

from __future__ import annotations

import torch

from ..network import bytes_of
from ..session import Session
from ..share import ABSENT
from ..transport import Opening


def announce(session: Session, message: bytes) -> list[bytes]:
    """Every party's message, by party; all are of one length, a multiple of 8 bytes.

    Parties that live in one process say the same. Since it is a round, none has the answer before
    all have come here.
    """
    session.check_open()
    words = torch.frombuffer(bytearray(message), dtype=torch.int64)
    messages = tuple(words.clone() if p in session.local else ABSENT for p in range(session.n))
    said = session.transport.open([Opening(messages, "stack", 8 * len(message))])[0]
    return [bytes(bytes_of(row)) for row in said]
