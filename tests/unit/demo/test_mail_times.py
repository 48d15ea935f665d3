"""When a mail of the demo's inbox came."""

from pathlib import Path

from demo.mail_folder import read_mail


def test_a_mail_tells_when_it_came_by_the_companys_clock(tmp_path: Path) -> None:
    path = tmp_path / "20260701T120000000000-abc123.eml"
    path.write_bytes(b"Subject: Hello\r\n\r\nHello\r\n")
    assert f"{read_mail(path).received_at:%H:%M %Z}" == "13:00 BST"
