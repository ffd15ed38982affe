"""A real browser for tests of pages: what it opens, draws, asks for and clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
DESKTOP, PHONE = 1280, 390
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)


def chromium(profile: Path) -> Any:
    """Chromium without a screen; the test is skipped where there is none.

    Args:
        profile: an empty folder.
    """
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip("needs a browser: install the Debian packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))


def opened(driver, path: Path, width: int, scheme: str = "light"):
    """A page at a width, with fresh logs."""
    driver.get("about:blank")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    prefer(driver, scheme)
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(path.as_uri())
    return driver


def prefer(driver, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def requests(driver) -> list[str]:
    """Every address asked for since the page was opened, the page itself and data excepted."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    urls = [params["request"]["url"] for params in sent if params.get("type") != "Document"]
    assert sent, "the log of requests must at least hold the page itself"
    entries = driver.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    return [url for url in (*urls, *entries) if not url.startswith("data:")]


def overflow(driver) -> int:
    return driver.execute_script("return document.documentElement.scrollWidth - innerWidth")


def clipped(driver) -> list[str]:
    """Texts of figures that stick out of their figure."""
    return driver.execute_script("""
        return [...document.querySelectorAll('.plot')].flatMap(plot => {
            const box = plot.getBoundingClientRect();
            return [...plot.querySelectorAll('.main-svg text')].filter(text => {
                const r = text.getBoundingClientRect();
                return r.width && (r.left < box.left - 1 || r.right > box.right + 1
                    || r.top < box.top - 1 || r.bottom > box.bottom + 1);
            }).map(text => text.textContent);
        })""")


def luminance(colour: str) -> float:
    channels = [float(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)
