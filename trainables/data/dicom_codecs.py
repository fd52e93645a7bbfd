"""Lossless JPEG, JPEG of 12 bits and JPEG-LS for pydicom, decoded by imagecodecs: to import this is to add them.

The contract is pydicom's for decoders: a function of a frame, `is_available` and `DECODER_DEPENDENCIES`.
"""

from __future__ import annotations

import numpy as np
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import (
    UID,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEGLSTransferSyntaxes,
)

DECODER_DEPENDENCIES = dict.fromkeys(
    (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless), ("imagecodecs",)
)


def is_available(uid: UID) -> bool:
    """Whether frames of that transfer syntax can be decoded."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytearray:
    """The pixels of a frame, colour by pixel; raises what imagecodecs raises for a damaged one."""
    from imagecodecs import jpeg_decode, jpegls_decode

    decode = jpegls_decode if runner.transfer_syntax in JPEGLSTransferSyntaxes else jpeg_decode
    values: np.ndarray = decode(source)
    if runner.pixel_representation == 1:  # signed: the sign stands in the highest of the stored bits
        unused = 8 * values.itemsize - runner.bits_stored
        values = (values << unused).view(f"i{values.itemsize}") >> unused
    runner.set_option("bits_allocated", 8 * values.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytearray(values.tobytes())


for syntax in DECODER_DEPENDENCIES:
    get_decoder(syntax).add_plugin("imagecodecs", (__name__, decode_frame.__name__))
