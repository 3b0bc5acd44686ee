"""Mail::DKIM, written in Perl: one more signer and verifier, in another language."""

from __future__ import annotations

from pathlib import Path

from tests.servers.process import HOST, NotInstalled, ServerTrouble, find_program, run

_SIGN = """
use Mail::DKIM::Signer;
my ($key, $domain, $selector, $method) = @ARGV;
my $dkim = Mail::DKIM::Signer->new(Algorithm => 'rsa-sha256', Method => $method,
    Domain => $domain, Selector => $selector, KeyFile => $key);
binmode STDIN; binmode STDOUT; local $/; my $mail = <STDIN>;
$dkim->PRINT($mail); $dkim->CLOSE;
print $dkim->signature->as_string, "\\r\\n", $mail;
"""
_VERIFY = """
use Mail::DKIM::Verifier; use Mail::DKIM::DNS; use Net::DNS;
my ($host, $port) = @ARGV;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => [$host], port => $port,
    recurse => 0));
my $dkim = Mail::DKIM::Verifier->new;
binmode STDIN; local $/; my $mail = <STDIN>;
$dkim->PRINT($mail); $dkim->CLOSE;
print $dkim->result_detail;
"""


class MailDkim:
    """Signs with a key in a file, verifies with keys in DNS; runs no server."""

    def __init__(self) -> None:
        try:
            run([find_program("perl"), "-MMail::DKIM", "-MNet::DNS", "-e", "1"])
        except ServerTrouble:
            raise NotInstalled("Perl's Mail::DKIM is not installed") from None

    def sign(self, mail: bytes, *, key_file: Path, name: str, method: str) -> bytes:
        """The mail under a signature; `name` is that of the key in DNS."""
        selector, _, domain = name.partition("._domainkey.")
        arguments = [str(key_file), domain, selector, method]
        return run([find_program("perl"), "-e", _SIGN, *arguments], stdin=mail).encode()

    def verify(self, mail: bytes, dns_port: int) -> str:
        """Its result, e.g. "pass", or "fail (message has been altered)"."""
        return run([find_program("perl"), "-e", _VERIFY, HOST, str(dns_port)], stdin=mail)
