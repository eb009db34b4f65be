"""Terminal escape sequences, as Wings knows them: CSI and OSC, introduced by ESC or 0x9B."""

import re

ANSI = re.compile(r"[\x1b\x9b](?:\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\[\]()#;?]*(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PR-TZcf-nq-uy=><~])")
