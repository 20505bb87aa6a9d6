"""Pictures that are too large to send are made smaller, and a note says so."""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any

# Larger ones are made smaller before they are compressed, which takes long.
_MAX_PIXELS = 2_000_000
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})
_KINDS = ("image/png", "image/jpeg")


def is_image(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and issubclass(type(value), module.Image)


def bundle_of(image: Any, limit: int) -> dict[str, str]:
    """As PNG if that fits, else as JPEG, which for photographs is smaller, else smaller until it
    fits."""
    text = repr(image)
    if image.width * image.height == 0:
        return {"text/plain": text}
    shown = image if image.mode in _MODES else image.convert("RGB")
    shown = _scaled(shown, (_MAX_PIXELS / (image.width * image.height)) ** 0.5)
    while True:
        for mime, data in _encodings(shown):
            picture = b64encode(data).decode()
            if len(picture) <= limit:
                if shown.size != image.size:
                    text += f"\n[shown at {shown.width}x{shown.height}, to fit in a result]"
                return {"text/plain": text, mime: picture}
        shown = _scaled(shown, min(0.9, 0.95 * (limit / len(picture)) ** 0.5))


def smaller_png(picture: BytesIO, size: int, limit: int) -> tuple[str, float]:
    """A picture of that size, as text, as a smaller one, and how much smaller it is."""
    from PIL import Image  # type: ignore[import-not-found]

    whole = Image.open(picture)
    scale = 1.0
    while True:
        scale *= min(0.9, 0.95 * (limit / size) ** 0.5)
        data = BytesIO()
        _scaled(whole, scale).save(data, "PNG")
        encoded = b64encode(data.getvalue()).decode()
        size = len(encoded)
        if size <= limit:
            return encoded, scale


def _encodings(image: Any) -> Any:
    png = BytesIO()
    image.save(png, "PNG")
    yield "image/png", png.getvalue()
    if image.mode in ("L", "RGB"):
        jpeg = BytesIO()
        image.save(jpeg, "JPEG", quality=90)
        yield "image/jpeg", jpeg.getvalue()


def _scaled(image: Any, factor: float) -> Any:
    if factor >= 1:
        return image
    size = (max(1, int(image.width * factor)), max(1, int(image.height * factor)))
    if image.mode in ("P", "1"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.resize(size)


def fit(bundle: dict[str, str], limit: int) -> None:
    """Makes the pictures in it that are too large smaller, if PIL is there."""
    for mime in _KINDS:
        if len(bundle.get(mime, "")) > limit:
            smaller = _smaller(bundle[mime], limit)
            if smaller is not None:
                del bundle[mime]
                note = smaller.pop("text/plain").partition("\n")[2]
                bundle.update(smaller)
                bundle["text/plain"] = f"{bundle.get('text/plain', '')}\n{note}".strip()


def _smaller(picture: str, limit: int) -> dict[str, str] | None:
    try:
        from PIL import Image

        return bundle_of(Image.open(BytesIO(b64decode(picture))), limit)
    except Exception:
        return None  # no PIL, or no picture: it is left out by its size, and that is said
