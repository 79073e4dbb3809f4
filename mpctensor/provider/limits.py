class Limits:
    frame_bytes=1<<20
class Quota:
    def __init__(self,l): pass
    def charge(self,r): pass
