"""Prints what androguard finds in an APK; runs in an environment of its own."""

import hashlib
import json
import sys

from androguard.core.apk import APK
from loguru import logger

logger.remove()
apk = APK(sys.argv[1])
certificates = [*apk.get_certificates_der_v2(), *apk.get_certificates_der_v3()]
print(
    json.dumps(
        {
            "signed": [
                apk.is_signed_v1(),
                apk.is_signed_v2(),
                apk.is_signed_v3(),
            ],
            "certificates": [hashlib.sha256(one).hexdigest() for one in certificates],
            "package": apk.get_package(),
            "version_code": apk.get_androidversion_code(),
            "version_name": apk.get_androidversion_name(),
            "min_sdk": apk.get_min_sdk_version(),
            "files": sorted(apk.get_files()),
        }
    )
)
