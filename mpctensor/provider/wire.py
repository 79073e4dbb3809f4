import json
from ..errors import RequestError
from .requests import *
def encode(requests): return json.dumps([r.canonical for r in requests]).encode()
def _op(c):
    if c[0]=="mask": return MaskView(c[1],c[2],tuple(c[3]),tuple(c[4]),c[5])
    return BitView(_rq(c[1]),c[2],c[3],tuple(c[4]),tuple(c[5]),c[6])
def _tt(x): return tuple(_tt(v) for v in x) if isinstance(x,list) else x
def _rq(c): return Request(c[0],c[1],tuple(_op(o) for o in c[2]),_tt(c[3]))
def decode(data, limits): return [_rq(c) for c in json.loads(data)]
