"""CORE: the page on which riders say what alerts they want: plain HTML, without scripts.

It names nobody, and shows nothing but what its form changes.
"""

import base64
import hashlib
from html import escape
from typing import Final

from api.contract.alert_form import LEAST_BPM, MOST_BPM, Wishes
from deloton.showing import palette

_STYLE: Final = f"""
:root {{ color-scheme: light dark; --ink: {palette.INK}; --quiet: {palette.QUIET_INK};
  --paper: {palette.PANEL}; --card: {palette.PAPER}; --rule: {palette.RULE};
  --button: {palette.BRAND}; --button-ink: #FFFFFF;
  --bad: {palette.ALERT_COLOURS["critical"]} }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: {palette.NIGHT_INK};
  --quiet: {palette.NIGHT_QUIET_INK}; --paper: {palette.NIGHT_PAPER};
  --card: {palette.NIGHT_PANEL}; --rule: {palette.NIGHT_RULE};
  --button: {palette.NIGHT_INK}; --button-ink: {palette.NIGHT_PAPER}; --bad: #F2A39C }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; padding: 16px; background: var(--paper); color: var(--ink);
  font: 17px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }}
main {{ max-width: 34rem; margin: 0 auto; padding: 8px 20px 20px; background: var(--card);
  border: 1px solid var(--rule); border-radius: 12px }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 12px 0 }}
h2 {{ font-size: 1.15rem; margin: 28px 0 4px; padding-top: 16px;
  border-top: 1px solid var(--rule) }}
p {{ margin: 8px 0 }}
.quiet {{ color: var(--quiet); font-size: .94rem }}
.said {{ padding: 10px 14px; border: 2px solid var(--button); border-radius: 10px }}
.bad {{ border-color: var(--bad); color: var(--bad) }}
label {{ display: block; margin: 14px 0 4px; font-weight: 600 }}
label span {{ display: block; font-weight: 400; color: var(--quiet); font-size: .94rem }}
input {{ width: 8rem; padding: 10px 12px; font: inherit; color: inherit; background: var(--paper);
  border: 1px solid var(--quiet); border-radius: 8px }}
button {{ width: 100%; min-height: 48px; margin: 16px 0 0; font: inherit; font-weight: 600;
  color: var(--button-ink); background: var(--button); border: 0; border-radius: 10px;
  cursor: pointer }}
:focus-visible {{ outline: 3px solid var(--quiet); outline-offset: 2px }}
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# The address is the rider's secret: told to nobody, kept by no cache, found by no search.
HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


def render_page(wishes: Wishes, said: str = "", wrong: str = "") -> str:
    """The page; `said` is what has just been changed, `wrong` what could not be meant."""
    state = "on" if wishes.alerts_on else "off"
    meaning = (
        "We mail you when your heart rate stays unusually low, high or very high during a ride. "
        "Switching them off holds at once."
        if wishes.alerts_on
        else "We send you no mail about your heart rate, however high or low it is. "
        "Switching them on holds from your next ride on."
    )
    other = ("off", "Switch alerts off") if wishes.alerts_on else ("on", "Switch alerts on")
    told = _said(said, "said") + _said(wrong, "said bad")
    return _document(
        "Heart-rate alerts",
        f"""{told}
<h2>Mails about your heart rate are {state}</h2>
<p>{meaning}</p>
<form method="post"><button name="do" value="{other[0]}">{other[1]}</button></form>
<h2>Your own limits</h2>
<p>Only if your doctor has given you some. An empty field means our own limit for your age. They
hold from your next ride on.</p>
<form method="post">
{_field("low", "Low", "We mail when your heart rate stays below it.", wishes.limits.low)}
{_field("high", "High", "We say: ease off.", wishes.limits.high)}
{_field("critical", "Critical", "We say: stop and rest now.", wishes.limits.critical)}
<button name="do" value="limits">Save limits</button></form>
<p class="quiet">An alert is no diagnosis, and that none comes does not mean that all is well. With
pain in your chest, or if you faint, call 999 or 112.</p>
<p class="quiet">This page belongs to a mail of yours. Whoever has its address can change what
stands here, and sees nothing else of you.</p>""",
    )


def render_closed() -> str:
    """What a link leads to that has expired, was changed, or whose ride or address is gone."""
    return _document(
        "This link no longer works",
        """<p>It may have expired: links in our mails work for 60 days, and no longer than the
address that they went to is yours. The newest mail about your heart rate has one that works. You
can also answer any of our mails, and we will see to it.</p>""",
    )


def render_busy() -> str:
    """What is told to who asks too often, or while the database is away."""
    return _document(
        "Please try again in a minute",
        "<p>We could not do this just now. Nothing was changed.</p>",
    )


def _said(text: str, kind: str) -> str:
    return f'<p class="{kind}" role="status">{escape(text)}</p>' if text else ""


def _field(name: str, title: str, meaning: str, bpm: int | None) -> str:
    value = "" if bpm is None else str(bpm)
    return (
        f'<label for="{name}">{title}, in bpm<span>{meaning}</span></label>'
        f'<input id="{name}" name="{name}" type="number" inputmode="numeric" min="{LEAST_BPM}" '
        f'max="{MOST_BPM}" value="{value}">'
    )


def _document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – Deloton</title><style>{_STYLE}</style></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>
"""
