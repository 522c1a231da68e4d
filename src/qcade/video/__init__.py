"""Videos: pictures are scaled, a strip of figures is put below, and all is encoded as it comes."""

from qcade.video.file import FORMATS, VideoFile, VideoFormat, pictures_within, video_format
from qcade.video.sizes import Canvas, enlarge
from qcade.video.strips import STRIP_HEIGHT, caption_strip, figures_strip

__all__ = [
    "FORMATS",
    "STRIP_HEIGHT",
    "Canvas",
    "VideoFile",
    "VideoFormat",
    "caption_strip",
    "enlarge",
    "figures_strip",
    "pictures_within",
    "video_format",
]
