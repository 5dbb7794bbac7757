"""A float network and calibration pictures to quantised variants."""
