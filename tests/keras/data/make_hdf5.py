#!/usr/bin/env python3
"""Writes the HDF5 files that hdf5_test.cc reads: python3 make_hdf5.py (h5py 3.14, HDF5 1.14.6)."""

import h5py
import numpy as np


def fill(f):
    ramp = np.arange(60, dtype=np.float64).reshape(3, 4, 5) * 0.5 - 7
    kinds = f.create_group("kinds")
    for dtype in ("f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"):
        kinds[dtype] = (ramp if dtype[0] == "f" else np.arange(60).reshape(3, 4, 5)).astype(dtype)
    kinds["scalar"] = np.float32(2.5)
    kinds["empty"] = np.zeros((0, 3), np.float32)
    kinds["big_endian"] = ramp.astype(">f4")
    many = f.create_group("many")
    for i in range(12):
        many.create_group("layer_%d" % i).create_group("vars")["0"] = np.float32(i)
    text = f.create_group("text")
    text.attrs["fixed"] = np.bytes_("abc")
    text.attrs["variable"] = "a longer text of variable length \u00e9"
    text.attrs["names"] = np.array([b"one", b"three", b"seventeen"])
    text.attrs["variable_names"] = np.array(["one", "three", "seventeen"], dtype=object)
    text.attrs["none"] = []
    text.attrs["long"] = "x" * 66000
    text.attrs["number"] = 5
    for i in range(20):
        text.attrs["extra%d" % i] = np.bytes_("value %d" % i)
    text.attrs["long_list"] = np.array([b"name_%04d" % i for i in range(600)])


def chunked(f):
    ramp = np.arange(60, dtype=np.float32).reshape(3, 4, 5) * 0.5 - 7
    f.create_dataset("plain", data=ramp, chunks=(2, 3, 2))
    f.create_dataset("gzip", data=ramp, chunks=(2, 3, 2), compression="gzip")
    f.create_dataset("all", data=ramp, chunks=(2, 3, 2), compression="gzip", shuffle=True,
                     fletcher32=True)
    f.create_dataset("lzf", data=ramp, chunks=(2, 3, 2), compression="lzf")
    f.create_dataset("row", data=ramp.reshape(60), chunks=(7,), compression="gzip", shuffle=True)
    zeros = f.create_dataset("zeros", (512, 512), "f4", chunks=(512, 512), compression="gzip")
    zeros[:] = 0


for libver, name in (("earliest", "earliest"), ("v108", "v108")):
    with h5py.File(name + ".h5", "w", libver=(libver, "latest")) as f:
        fill(f)
with h5py.File("chunked.h5", "w") as f:
    chunked(f)
with h5py.File("user_block.h5", "w", userblock_size=512) as f:
    f["x"] = np.float32(3)
