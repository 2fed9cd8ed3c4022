# tries: break listing and JSON by names that are not UTF-8, hold newlines, control characters, or are as long as can be.
# judged by: listing, globbing and removal work.
# home: yes
# lists: .
# artifacts: *
# brings: *
import os

names = [b"\xff\xfe\xfd", b"a\nb", b"\x01\x1b[2J\x7f", b"x" * 255, "\u202egpj.exe".encode(), b"-rf", b"$(reboot)", b"`id`", b"a'b\"c", b"* ?", b"\\", b"\xed\xa0\x80", b" ", b"...", b"~", b"#", b"%2e%2e%2f"]
for name in names:
    with open(name, "wb") as file:
        file.write(b"x")
print("CONTAINED")
