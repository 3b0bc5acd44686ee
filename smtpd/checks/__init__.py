"""What DNS and mathematics say about a mail: facts, no opinion. Neighbour: smtpd/policy.py."""
