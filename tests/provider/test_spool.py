"""Files of corrections that are not as they should be."""

import os

import pytest
import torch

from mpctensor.errors import SessionError
from mpctensor.provider.spool import Spool


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(SessionError, match="folder that does not exist"):
        Spool(tmp_path / "nowhere" / "ahead.bin")


@pytest.mark.parametrize("name", ["there", "."])
def test_what_is_there_is_not_overwritten(tmp_path, name):
    (tmp_path / "there").write_text("kept")
    with pytest.raises(SessionError, match="which exists: name a new file"):
        Spool(tmp_path / name)
    assert (tmp_path / "there").read_text() == "kept"


def test_a_file_that_was_cut(tmp_path):
    spool = Spool(tmp_path / "ahead.bin")
    kept = spool.keep([torch.arange(100)])
    os.truncate(spool.path, 80)
    with pytest.raises(SessionError, match="shorter than what was written"):
        kept()
    spool.close()
    assert not spool.path.exists()
