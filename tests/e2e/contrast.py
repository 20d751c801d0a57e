"""Whether text can be told from what is behind it, as WCAG 2.2 counts it."""

from __future__ import annotations

from playwright.sync_api import Page

READABLE = 4.5
"""Level AA, for text of the usual size."""

_TOO_FAINT = """([where, least]) => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
    };
    const over = ([r, g, b, a], under) => [r, g, b].map((one, index) => one * a + under[index] * (1 - a));
    const behind = node => {
        if (!node) return [255, 255, 255];
        const own = rgba(getComputedStyle(node).backgroundColor);
        return own[3] === 1 ? own.slice(0, 3) : over(own, behind(node.parentElement));
    };
    const light = colour => {
        const [r, g, b] = colour.map(one => one / 255).map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (one, other) => {
        const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
        return (bright + 0.05) / (dark + 0.05);
    };
    const opacity = node => node ? Number(getComputedStyle(node).opacity) * opacity(node.parentElement) : 1;
    const looked = [...document.querySelectorAll(where)].flatMap(root => [...root.querySelectorAll('*')])
        .filter(node => [...node.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.data.trim()))
        .filter(node => !node.closest('[aria-disabled="true"], :disabled, [aria-busy="true"], svg'))
        .filter(node => node.checkVisibility({visibilityProperty: true}) && node.getBoundingClientRect().width > 1);
    const faint = looked.map(node => {
        const ground = behind(node);
        const [r, g, b, a] = rgba(getComputedStyle(node).color);
        return [ratio(over([r, g, b, a * opacity(node)], ground), ground), node];
    }).filter(([found]) => found < least);
    const told = faint.map(([found, node]) => `${found.toFixed(2)}: ${node.className} ${node.textContent.trim().slice(0, 40)}`);
    return [looked.length, told];
}"""


def too_faint(page: Page, where: str, *, least: float = READABLE) -> tuple[int, list[str]]:
    """How many texts are seen inside, and those of them with too little contrast; what cannot be pressed now does not count."""
    count, told = page.evaluate(_TOO_FAINT, [where, least])
    return count, told
