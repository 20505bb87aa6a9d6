"""From a value to what can be shown of it: `{mime: text}`.

The hooks are user code. Each may raise, hang, or return anything; together they get HOOK_SECONDS.
"""

from __future__ import annotations

import json
import signal
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from time import monotonic
from types import FrameType
from typing import Any

from podflare_repl import pictures
from podflare_wire.frames import MAX_PAYLOAD

HOOK_SECONDS = 5.0
MAX_TEXT = 100_000
MAX_BUNDLE = MAX_PAYLOAD - 4096
# A picture larger than this, as text, is made smaller: what passes results on to models takes no
# more.
MAX_PICTURE = 1_500_000
_MAX_ITEMS = 10_000
_MAX_FORMS = 32
_MAX_MIME = 200

Bundle = dict[str, str]

_HOOKS = (
    ("_repr_html_", "text/html"),
    ("_repr_markdown_", "text/markdown"),
    ("_repr_svg_", "image/svg+xml"),
    ("_repr_png_", "image/png"),
    ("_repr_jpeg_", "image/jpeg"),
    ("_repr_latex_", "text/latex"),
    ("_repr_json_", "application/json"),
)
SCALARS = frozenset({int, float, bool, complex})
_TEXTS = (str, bytes, bytearray)
_COLLECTIONS = (list, tuple, set, frozenset, dict)

# The C function, without the wrapping; pure ASCII, so that no lone surrogate can break the frame.
_quote = json.encoder.encode_basestring_ascii  # type: ignore[attr-defined]
_to_json = json.JSONEncoder().encode
_plain_repr = object.__repr__


# What code has registered by get_ipython().display_formatter: by mime type, then by type.
formatters: dict[str, dict[type, Callable[[Any], Any]]] = {}


class _TooSlow(BaseException):
    """Not an Exception, so that a hook which catches those does not catch this."""


def payload_of(value: Any) -> bytes:
    """The payload of a RESULT. Raises nothing but KeyboardInterrupt."""
    if type(value) in SCALARS:
        try:
            return b'{"text/plain":%s}' % _quote(repr(value)).encode()
        except ValueError:
            pass  # an int of too many digits to print: said below
    return encode(bundle_of(value))


def bundle_of(value: Any) -> Bundle:
    if pictures.is_image(value):
        try:
            return pictures.bundle_of(value, MAX_PICTURE)
        except Exception:
            pass  # a file that can't be read to its end: its own hooks show what they can
    with _time_limit():
        bundle = _render(value)
    pictures.fit(bundle, MAX_PICTURE)
    return bundle


def is_a(value: Any, kind: type) -> bool:
    """isinstance, without asking the value, whose `__class__` may raise, as a proxy's does."""
    return issubclass(type(value), kind)


def shows_itself(value: Any) -> bool:
    """Calls the value's `_ipython_display_`, which displays it; False if it has none that works."""
    hook = getattr(type(value), "_ipython_display_", None)
    if hook is None or is_a(value, type):
        return False
    try:
        with _time_limit():
            hook(value)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return False  # it is shown as any other value
    return True


def bundle_of_data(data: dict[Any, Any]) -> Bundle:
    """For `display(data, raw=True)`: forms that are made already."""
    bundle: Bundle = {}
    for mime, form in data.items():
        _add(bundle, mime, form)
    bundle.setdefault("text/plain", "")
    return bundle


def encode(bundle: Bundle) -> bytes:
    """Parts that make it too large are left out, and text/plain says so."""
    parts = []
    text = bundle.pop("text/plain", "")
    room = MAX_BUNDLE - len(_quote(text))
    left_out = []
    # The smallest first: of a table, the HTML goes rather than everything else.
    for mime, data in sorted(bundle.items(), key=lambda part: len(part[1])):
        part = f"{_quote(mime)}:{_quote(data)}"
        if len(part) > room:
            left_out.append(f"{mime} ({len(data)} characters)")
        else:
            room -= len(part)
            parts.append(part)
    if left_out:
        text += f"\n[left out, because too large to send: {', '.join(left_out)}]"
    parts.insert(0, f'"text/plain":{_quote(text)}')
    return ("{" + ",".join(parts) + "}").encode()


@contextmanager
def _time_limit() -> Iterator[None]:
    """Within, _TooSlow is raised after HOOK_SECONDS, and again and again should a hook swallow it.

    It borrows the process's alarm clock and gives it back as it was. Another thread than the main
    one can't, and there a hook that hangs stops nothing but its own thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    began = monotonic()
    handler = signal.signal(signal.SIGALRM, _on_alarm)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, HOOK_SECONDS, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if remaining:
            left = max(0.001, remaining - (monotonic() - began))
            signal.setitimer(signal.ITIMER_REAL, left, interval)


def _on_alarm(_signal: int, _frame: FrameType | None) -> None:
    raise _TooSlow


def _render(value: Any) -> Bundle:
    bundle: Bundle = {}
    try:
        if type(value) not in _TEXTS and not is_a(value, type):
            _call_hooks(value, bundle)
        bundle["text/plain"] = bundle.get("text/plain") or _text(value)
    except _TooSlow:
        bundle.setdefault(
            "text/plain", f"{_plain_repr(value)} [took over {HOOK_SECONDS:g} s to show itself]")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        bundle.setdefault("text/plain", f"{_plain_repr(value)} [{_name(error)} in its repr]")
    return {mime: _cut(data) if mime == "text/plain" else data for mime, data in bundle.items()}


def _call_hooks(value: Any, bundle: Bundle) -> None:
    # Looked up on the class, as Python does with its own: a mock, or a remote object, has every
    # attribute.
    kind = type(value)
    if formatters:
        _call_registered(value, bundle)
    whole = getattr(kind, "_repr_mimebundle_", None)
    if whole is not None:
        made = _call(whole, value, include=None, exclude=None)
        if made is None:
            made = _call(whole, value)  # not all take what IPython gives them
        if type(made) is tuple and made:
            made = made[0]  # the second is metadata
        if isinstance(made, dict):
            for mime, data in made.items():
                _add(bundle, mime, data)
    for hook_name, mime in _HOOKS:
        hook = getattr(kind, hook_name, None)
        if hook is not None and mime not in bundle:
            data = _call(hook, value)
            _add(bundle, mime, data[0] if type(data) is tuple and data else data)


def _call_registered(value: Any, bundle: Bundle) -> None:
    for mime, by_type in formatters.items():
        for kind in type(value).__mro__:
            if kind in by_type:
                _add(bundle, mime, _call(by_type[kind], value))
                break


def _call(hook: Callable[..., Any], value: Any, **options: Any) -> Any:
    try:
        return hook(value, **options)
    except (KeyboardInterrupt, _TooSlow):
        raise
    except BaseException:
        return None  # it has nothing to show in this form; text/plain is there in any case


def _add(bundle: Bundle, mime: Any, data: Any) -> None:
    """Takes what has a form that can be sent; a hook may return anything."""
    if type(mime) is not str or len(mime) > _MAX_MIME or len(bundle) >= _MAX_FORMS:
        return
    if isinstance(data, str):
        bundle[mime] = str(data)
    elif isinstance(data, (bytes, bytearray)):
        bundle[mime] = b64encode(data).decode()
    elif data is not None and mime.endswith("json"):
        try:
            bundle[mime] = _to_json(data)
        except (TypeError, ValueError, RecursionError):
            return


def _text(value: Any) -> str:
    kind = type(value)
    if kind in _TEXTS and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]!r}… [{len(value)} in all]"
    if kind in _COLLECTIONS and len(value) > _MAX_ITEMS:
        # No signal stops the repr of a huge collection, and its text would be cut anyway.
        first = kind(islice(value.items() if kind is dict else value, _MAX_ITEMS))
        return f"{first!r}… [{len(value)} items in all]"
    return repr(value)


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… [{len(text)} characters in all]"


def _name(error: BaseException) -> str:
    return type(error).__name__
