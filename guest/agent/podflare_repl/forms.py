"""The classes of IPython.display: data that is shown in one form."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from typing import Any

_FETCH_SECONDS = 30.0


def escape(text: str) -> str:
    import html  # only here: it brings all names of characters

    return html.escape(text)


class DisplayObject:
    """`data` is text, bytes, or the name or address of a file that is read at once."""

    _read_flags = "r"
    _mime = "text/plain"

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None,
        metadata: dict[str, Any] | None = None
    ) -> None:
        if isinstance(data, os.PathLike):
            data, filename = None, data
        if isinstance(data, str):
            if url is None and self._takes_address and data.startswith(("http://", "https://")):
                data, url = None, data
            elif filename is None and self._takes_file(data):
                data, filename = None, data
        self.data, self.url = data, url
        self.filename = None if filename is None else os.fspath(filename)
        self.metadata = metadata or {}
        self.reload()

    _takes_address = True

    def _takes_file(self, text: str) -> bool:
        return False

    def reload(self) -> None:
        """Reads the file, or the address, again."""
        if self.filename is not None:
            encoding = None if "b" in self._read_flags else "utf-8"
            with open(self.filename, self._read_flags, encoding=encoding) as file:
                self.data = file.read()
        elif self.url is not None:
            self._fetch()

    def _fetch(self) -> None:
        from urllib.request import urlopen

        with urlopen(self.url, timeout=_FETCH_SECONDS) as answer:  # type: ignore[arg-type]
            data = answer.read()
        self.data = data if "b" in self._read_flags else data.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<IPython.core.display.{type(self).__name__} object>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {} if self.data is None else {self._mime: self._form()}

    def _form(self) -> Any:
        return self.data


class TextDisplayObject(DisplayObject):
    """Text in one form."""

    _takes_address = False

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None,
        metadata: dict[str, Any] | None = None
    ) -> None:
        if data is not None and not isinstance(data, (str, os.PathLike)):
            raise TypeError(f"{type(self).__name__} expects text, not {data!r:.200}")
        super().__init__(data, url, filename, metadata)


class HTML(TextDisplayObject):
    """HTML."""

    _mime = "text/html"

    def _repr_html_(self) -> Any:
        return self.data

    __html__ = _repr_html_


class Markdown(TextDisplayObject):
    """Markdown."""

    _mime = "text/markdown"

    def _repr_markdown_(self) -> Any:
        return self.data


class Latex(TextDisplayObject):
    """LaTeX, with its own dollars or environments."""

    _mime = "text/latex"

    def _repr_latex_(self) -> Any:
        return self._form()


class Math(Latex):
    """A formula of LaTeX, without its dollars."""

    def _form(self) -> Any:
        return f"$\\displaystyle {str(self.data).strip('$')}$"


class SVG(TextDisplayObject):
    """A drawing."""

    _mime = "image/svg+xml"
    _takes_address = True

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None,
        metadata: dict[str, Any] | None = None
    ) -> None:
        if isinstance(data, bytes):
            data = data.decode()
        super().__init__(data, url, filename, metadata)

    def _takes_file(self, text: str) -> bool:
        return text.endswith(".svg") and "<" not in text

    def _repr_svg_(self) -> Any:
        return self.data


class Javascript(TextDisplayObject):
    """Code for the page that shows the result."""

    _mime = "application/javascript"
    _takes_address = True

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None,
        lib: Any = None, css: Any = None
    ) -> None:
        super().__init__(data, url, filename)


class Pretty(TextDisplayObject):
    """Text as it is."""

    def __repr__(self) -> str:
        return str(self.data)


class JSON(DisplayObject):
    """Data that can be JSON, or text that is."""

    _mime = "application/json"
    _takes_address = False

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None,
        expanded: bool = False, metadata: dict[str, Any] | None = None, root: str = "root",
        **_options: Any
    ) -> None:
        options = {"expanded": expanded, "root": root, **(metadata or {})}
        super().__init__(data, url, filename, options)

    def _form(self) -> Any:
        return json.loads(self.data) if isinstance(self.data, (str, bytes)) else self.data

    def _repr_json_(self) -> Any:
        return self._form()


class GeoJSON(JSON):
    """Places."""

    _mime = "application/geo+json"


class Code(TextDisplayObject):
    """Source text, with its language."""

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None,
        language: str | None = None
    ) -> None:
        self.language = language
        super().__init__(data, url, filename)

    def __repr__(self) -> str:
        return str(self.data)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        ending = os.path.splitext(self.filename or "")[1].lstrip(".")
        language = self.language or {"py": "python"}.get(ending, ending)
        return {
            "text/plain": str(self.data),
            "text/markdown": f"```{language}\n{self.data}\n```",
            "text/html": f"<pre><code>{escape(str(self.data))}</code></pre>"}


class Image(DisplayObject):
    """A picture: PNG, JPEG, GIF or WebP, by data, file or address."""

    _read_flags = "rb"
    _KINDS = {b"\x89PNG": "png", b"\xff\xd8": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None,
        format: str | None = None, embed: bool | None = None, width: int | None = None,
        height: int | None = None, retina: bool = False, unconfined: bool = False,
        metadata: dict[str, Any] | None = None, alt: str | None = None
    ) -> None:
        self.width, self.height, self.alt = width, height, alt
        self.embed = bool(embed)
        super().__init__(data, url, filename, metadata)
        given = (format or "").lower().replace("jpg", "jpeg")
        self.format = given or self._kind_of_data() or "png"

    def _takes_file(self, text: str) -> bool:
        return True

    def _kind_of_data(self) -> str | None:
        data = self.data if isinstance(self.data, bytes) else b""
        return next((kind for start, kind in self._KINDS.items() if data.startswith(start)), None)

    def _fetch(self) -> None:
        if self.embed:
            super()._fetch()

    def _attributes(self) -> str:
        return "".join(
            f' {name}="{escape(str(value))}"'
            for name, value in (("width", self.width), ("height", self.height), ("alt", self.alt))
            if value is not None)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if self.data is None:
            return {"text/html": f'<img src="{escape(self.url or "")}"{self._attributes()}/>'}
        data = self.data if isinstance(self.data, str) else b64encode(self.data).decode()
        return {f"image/{self.format}": data}


class _Media(DisplayObject):
    """Sound and film, in the page itself or by address."""

    _read_flags = "rb"
    _tag = "audio"
    _default = "audio/wav"

    def __init__(
        self, data: Any = None, filename: Any = None, url: str | None = None,
        embed: bool | None = None, mimetype: str | None = None, autoplay: bool = False,
        width: int | None = None, height: int | None = None, html_attributes: str = "controls"
    ) -> None:
        self.embed = embed if embed is not None else data is not None and url is None
        self.mimetype = mimetype
        self._options = html_attributes + " autoplay" * autoplay + "".join(
            f' {name}="{value}"' for name, value in (("width", width), ("height", height))
            if value is not None)
        super().__init__(data, url, filename)

    def _takes_file(self, text: str) -> bool:
        return True

    def _fetch(self) -> None:
        if self.embed:
            super()._fetch()

    def _repr_html_(self) -> str:
        import mimetypes

        kind = self.mimetype or mimetypes.guess_type(self.filename or self.url or "")[0]
        source = self.url or ""
        if self.data is not None:
            data = self.data if isinstance(self.data, bytes) else str(self.data).encode()
            source = f"data:{kind or self._default};base64,{b64encode(data).decode()}"
        return f'<{self._tag} {self._options} src="{escape(source)}"></{self._tag}>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": self._repr_html_()}


class Video(_Media):
    """Film."""

    _tag = "video"
    _default = "video/mp4"

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None,
        embed: bool = False, mimetype: str | None = None, width: int | None = None,
        height: int | None = None, html_attributes: str = "controls"
    ) -> None:
        super().__init__(data, filename, url, embed, mimetype, False, width, height,
                         html_attributes)


class Audio(_Media):
    """Sound: a file, an address, or samples with their rate."""

    def __init__(
        self, data: Any = None, filename: Any = None, url: str | None = None,
        embed: bool | None = None, rate: int | None = None, autoplay: bool = False,
        normalize: bool = True, *, element_id: str | None = None
    ) -> None:
        if data is not None and not isinstance(data, (str, bytes, os.PathLike)):
            if rate is None:
                raise ValueError("rate must be given when data is samples")
            data = _wave(data, rate, normalize)
        super().__init__(data, filename, url, embed, None, autoplay)


def _wave(samples: Any, rate: int, normalize: bool) -> bytes:
    import io
    import wave
    from array import array

    rows = samples.tolist() if hasattr(samples, "tolist") else list(samples)
    channels = [rows] if not rows or not isinstance(rows[0], list) else rows
    top = max((abs(value) for row in channels for value in row), default=0)
    factor = 32767 / (top if normalize and top else 1)
    frames = array("h", (
        max(-32768, min(32767, int(value * factor)))
        for frame in zip(*channels) for value in frame))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(len(channels))
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(frames.tobytes())
    return file.getvalue()


class IFrame:
    """A page within the page."""

    def __init__(
        self, src: str, width: Any = "100%", height: Any = 400, extras: Any = None, **params: Any
    ) -> None:
        from urllib.parse import urlencode

        self.src, self.width, self.height = src, width, height
        self.params = f"?{urlencode(params)}" if params else ""

    def _repr_html_(self) -> str:
        return (f'<iframe width="{self.width}" height="{self.height}" '
                f'src="{escape(str(self.src) + self.params)}" frameborder="0" allowfullscreen>'
                "</iframe>")

    def __repr__(self) -> str:
        return f"<IPython.lib.display.{type(self).__name__} object: {self.src}>"


class YouTubeVideo(IFrame):
    """A film by its id."""

    def __init__(self, id: str, width: Any = 400, height: Any = 300, **params: Any) -> None:
        super().__init__(f"https://www.youtube.com/embed/{id}", width, height, **params)


class FileLink:
    """The name of a file of the sandbox."""

    def __init__(self, path: Any, **_options: Any) -> None:
        self.path = os.fspath(path)

    def _repr_html_(self) -> str:
        name = escape(self.path)
        return f'<a href="{name}" target="_blank">{name}</a><br>'

    def __repr__(self) -> str:
        return os.path.abspath(self.path)


class FileLinks(FileLink):
    """The names of all files below a directory."""

    def _repr_html_(self) -> str:
        return "".join(FileLink(path)._repr_html_() for path in self._paths())

    def __repr__(self) -> str:
        return "\n".join(self._paths())

    def _paths(self) -> list[str]:
        return sorted(os.path.join(directory, name)
                      for directory, _, names in os.walk(self.path) for name in names)


class ProgressBar(DisplayObject):
    """Counts to its total; shown once it has come there."""

    def __init__(self, total: int) -> None:
        self.total, self.progress = total, -1
        super().__init__()

    def __iter__(self) -> ProgressBar:
        self.progress = -1
        return self

    def __next__(self) -> int:
        self.progress += 1
        if self.progress < self.total:
            return self.progress
        raise StopIteration

    def __repr__(self) -> str:
        return f"{self.progress}/{self.total}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": f'<progress max="{self.total}" value="{self.progress}"></progress>'}


ALL = (
    DisplayObject, TextDisplayObject, HTML, Markdown, Latex, Math, SVG, Javascript, Pretty, JSON,
    GeoJSON, Code, Image, Video, Audio, IFrame, YouTubeVideo, FileLink, FileLinks, ProgressBar)
