"""The emulated machine of the rig, see ../README.md."""
