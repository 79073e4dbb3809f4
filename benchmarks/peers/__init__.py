"""mpctensor beside CrypTen and SPU: the same work on all three, side by side in one run."""
