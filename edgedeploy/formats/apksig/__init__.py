"""APK signatures, schemes v1, v2 and v3: a signer and an independent verifier."""

from edgedeploy.formats.apksig.key import SigningKey
from edgedeploy.formats.apksig.report import SignatureReport
from edgedeploy.formats.apksig.sign import sign_v1, signing_block
from edgedeploy.formats.apksig.verify import verify

__all__ = ["SignatureReport", "SigningKey", "sign_v1", "signing_block", "verify"]
