# SPDX-License-Identifier: MIT
"""A picture of a dashboard, by Debian's chromium; runs in Home Assistant's own environment."""

from __future__ import annotations

import json
import sys
import time

from playwright.sync_api import sync_playwright

LONGEST_MS = 120_000
SETTLE_MS = 10_000


def take(url: str, path: str, access: str, refresh: str, picture: str) -> None:
    tokens = {
        "access_token": access,
        "refresh_token": refresh,
        "token_type": "Bearer",
        "expires_in": 1800,
        "expires": int(1000 * (time.time() + 1800)),
        "hassUrl": url,
        "clientId": f"{url}/",
    }
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        stored = json.dumps(json.dumps(tokens))
        page.add_init_script(f"localStorage.setItem('hassTokens', {stored})")
        page.goto(url + path)
        page.wait_for_selector("ha-gauge", timeout=LONGEST_MS)
        page.wait_for_timeout(SETTLE_MS)  # the charts have come
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    take(*sys.argv[1:])
