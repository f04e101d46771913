"""Two hundred strings that no terminal should ever be sent as they are, or that a careless program falls over."""

import itertools


def _controls() -> list[str]:
    """Every C0 and C1 control, and DEL, inside a word."""
    return [f"a{chr(code)}b" for code in (*range(32), 127, *range(128, 160))]


def _bidi_and_invisible() -> list[str]:
    """What reorders or hides text. Source: Trojan Source (CVE-2021-42574), Unicode 15.1 chapter 23."""
    codes = [*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2065), *range(0x2066, 0x2070)]
    codes += [0x061C, 0x00AD, 0x180E, 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB, 0xE0001, 0xE0041, 0x1D173]
    return [f"user{chr(code)}name" for code in codes]


SEQUENCES = [
    "\x1b[31mred\x1b[0m",
    "\x1b[2J\x1b[H",
    "\x1b[?1049l",
    "\x1b[?1049h",
    "\x1b[?25l",
    "\x1b[?1000h\x1b[?1006h",
    "\x1b[?2004h",
    "\x1b[>1u",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[21t",
    "\x1b[8;1;1t",
    "\x1b[1;1r",
    "\x1b[4i",
    "\x1b[99999999999999999999A",
    "\x1b[38;2;1;2;3;48;5;200m",
    "\x1b[;;;;;;;;;;;;;m",
    "\x1b[",
    "\x1b",
    "\x1b\x1b\x1b[31m",
    "\x1bc",
    "\x1b7\x1b8",
    "\x1b(0lqqqk\x1b(B",
    "\x1b#8",
    "\x1b%G",
    "\x1b]0;title\x07",
    "\x1b]2;title\x1b\\",
    "\x1b]52;c;cm0gLXJmIC8K\x07",
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]4;1;rgb:00/00/00\x07",
    "\x1b]1337;File=inline=1:AAAA\x07",
    "\x1b]777;notify;a;b\x07",
    "\x1b]never ended",
    "\x1bP+q544e\x1b\\",
    "\x1bPq#0;2;0;0;0~~@@vv\x1b\\",
    "\x1b_Gf=24,s=1,v=1;AAAA\x1b\\",
    "\x1b^private\x1b\\",
    "\x1bXstart of string\x1b\\",
    "\x9b31mred\x9b0m",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "\x9b",
    "over\rwritten\x1b[K",
    "back\b\b\b\bspace",
    "bell\a\a\a",
    "one\ntwo\nthree",
    "tab\tbed",
    "form\ffeed",
    "\x0e\x0fshift",
    "nul\0nul",
]
MARKUP = [
    "[/x]",
    "[bold",
    "[bold]x[/bold]",
    "[/]",
    "[@click=app.quit]press me[/]",
    "[@click='app.bell']x[/]",
    "[link=http://evil.example]x[/link]",
    "[on red]x",
    "[$error]x[/]",
    "\\[x]",
    "[[x]]",
    "[",
    "]",
    "{{x}}",
    "{0.__class__}",
    "%s%n%d",
    "$(reboot)",
    "`reboot`",
    "<script>alert(1)</script>",
    "&lt;b&gt;",
]
ODD = [
    "",
    " ",
    "x" * 300,
    "漢字" * 40,
    "a" + "\u0301" * 500,
    "\u0301",
    "👨‍👩‍👧‍👦" * 10,
    "🇨🇭" * 5,
    "👍🏽",
    "\ud800",
    "\udfff\ud800",
    "a\udcffb",
    "\uffff",
    "\ufffe",
    "\U0010ffff",
    "\ue000",
    "ﷺ" * 20,
    "ก็็็็็็็็็็็็็็็็็็็็",
    "مرحبا بالعالم",
    "שלום world",
    "../../../etc/passwd",
    "-rf",
    "a;b|c&d",
    "--help",
    "nan",
    "null",
    "\"quoted\" \\ 'and' slashed",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
]
BYTES = [
    b"\xff\xfe",
    b"\xc3",
    b"\xc3\x28",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf4\x90\x80\x80",
    b"\x9b31m",
    b"\x80\x81\x8d",
    b"half \xf0\x9f\x98",
]
HUGE = ["x" * 2_000_000, "\x1b[31m" * 400_000, "\u202e" * 700_000]

STRINGS = [*_controls(), *_bidi_and_invisible(), *SEQUENCES, *MARKUP, *ODD]
LINES: list[bytes] = [
    *(text.encode("utf-8", "surrogatepass").replace(b"\n", b"") for text in STRINGS),
    *BYTES,
    *(text.encode() for text in HUGE),
]


def in_turn() -> "itertools.cycle[str]":
    """One after the other, without end."""
    return itertools.cycle(STRINGS)
