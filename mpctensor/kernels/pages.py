"""Large tensors on huge pages, where the system gives them to who asks (Linux, "madvise").

A fresh tensor of 8 MB is then 4 pages and not 2,048, each of which is fetched when it is written
first: that takes longer than most kernels take. torch asks for them, for every tensor of 2 MB or
more, where this variable says so before it makes its first one; whoever has set it is left alone.
"""

import os

VARIABLE = "THP_MEM_ALLOC_ENABLE"
os.environ.setdefault(VARIABLE, "1")
