"""Files into rooms, on the backends that take them (errbot-facts, section 5): Slack, Telegram, the test backend."""

from __future__ import annotations

import io
import logging
from typing import Any

from errbot_sentry.model import Upload

log = logging.getLogger(__name__)

MODES = frozenset({"slackv3", "telegram", "test"})


def send_file(bot: Any, message: Any, upload: Upload) -> bool:
    """Send a file to where a message was typed; False where the backend takes none, or did not take this one."""
    if str(bot.mode) not in MODES:
        return False
    try:
        content = upload.make()
    except Exception:
        # matplotlib is installed and yet cannot be imported, say: the words are shown instead.
        log.exception("%s could not be made", upload.name)
        return False
    target = message.frm if message.is_direct else message.to
    try:
        bot.send_stream_request(
            target, io.BytesIO(content), name=upload.name, size=len(content), stream_type=upload.media_type
        )
    except Exception as error:  # noqa: BLE001 - each backend raises what it likes; the words are shown instead
        log.warning("the backend did not take %s: %s", upload.name, error)
        return False
    return True
