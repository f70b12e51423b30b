"""Decodes TIFF by libtiff, also without compression.

Pillow's own reader of uncompressed pixels lacks most separate planes, reads those of 16 bits as if they had 8, and
takes subsampled YCbCr for whole pixels.

libtiff's warnings cannot be logged: Pillow resets the handlers in the same C call that opens and decodes the file
(ImagingLibTiffDecode). Errors after which libtiff goes on are written to standard error.
"""

from PIL import TiffImagePlugin

TiffImagePlugin.READ_LIBTIFF = True

TiffFile = TiffImagePlugin.TiffImageFile
