// Counts text whose contrast with its ground is below 4.5:1 (WCAG 2, 1.4.3), whatever its size.
// Evaluated in the page; answers {texts, failures: [..]}.
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ratio = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  // What is painted under a point: the stack of elements there, without the text itself.
  const ground = (element, x, y) => {
    const layers = [];
    const isSvg = element instanceof SVGElement;
    const stack = isSvg ? document.elementsFromPoint(x, y) : [];
    for (const each of stack) {
      if (each instanceof SVGElement && !["text", "svg", "g"].includes(each.tagName)) {
        const style = getComputedStyle(each);
        if (style.fill !== "none" && each.tagName !== "use") layers.push(rgba(style.fill));
      }
      if (each.tagName === "svg") break;
    }
    for (let up = isSvg ? element.ownerSVGElement.parentElement : element; up; up = up.parentElement) {
      layers.push(rgba(getComputedStyle(up).backgroundColor));
    }
    layers.push([255, 255, 255, 1]);
    return layers.reverse().reduce((below, top) => over(top, below));
  };
  const failures = [];
  let texts = 0;
  const judge = (element, text, color, rect) => {
    texts += 1;
    const below = ground(element, rect.left + rect.width / 2, rect.top + rect.height / 2);
    const opacity = (() => {
      let all = 1;
      for (let up = element; up; up = up.parentElement) all *= Number(getComputedStyle(up).opacity);
      return all;
    })();
    const [r, g, b, a] = rgba(color);
    const found = ratio(over([r, g, b, a * opacity], below), below);
    if (found < 4.5) failures.push({ text: text.trim().slice(0, 60), ratio: Math.round(found * 100) / 100, color, below });
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, noscript, title, .symbols")) continue;
    if (!element.checkVisibility({ checkVisibilityCSS: true })) continue;
    const style = getComputedStyle(element);
    if (element instanceof SVGElement) element.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const range = document.createRange();
    range.selectNodeContents(node);
    const rect = range.getBoundingClientRect();
    if (rect.width <= 1 || rect.height <= 1) continue; // for screen readers only
    judge(element, node.textContent, element instanceof SVGElement ? style.fill : style.color, rect);
  }
  for (const element of document.querySelectorAll("button, th, td, summary")) {
    for (const which of ["::before", "::after"]) {
      const style = getComputedStyle(element, which);
      const text = style.content.replace(/^"|"$/g, "");
      if (!["none", "normal", ""].includes(text) && element.checkVisibility()) {
        judge(element, text, style.color, element.getBoundingClientRect());
      }
    }
  }
  for (const input of document.querySelectorAll("input, select")) {
    judge(input, input.value || "input", getComputedStyle(input).color, input.getBoundingClientRect());
  }
  scrollTo(0, 0);
  return { texts, failures };
})()
