"""Kill -9 at random moments under load, and workers frozen past their takeover."""
