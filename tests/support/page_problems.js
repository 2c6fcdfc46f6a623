// What is wrong with the page that is shown: a list of sentences, empty where all is well.
() => {
  const problems = [];
  const name = (element) => {
    const text = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${element.tagName.toLowerCase()}> "${text}"`;
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  const visible = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const labelOf = (element) => {
    const ids = (element.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean);
    const labelled = ids.map((id) => document.getElementById(id)?.textContent || "").join(" ");
    const label = element.getAttribute("aria-label") || labelled || element.getAttribute("title") || "";
    return label.trim();
  };

  // structure
  if (!document.documentElement.lang) problems.push("the page says no language");
  if (!document.title.trim()) problems.push("the page has no title");
  if (!document.querySelector("meta[name=viewport]")) problems.push("the page has no viewport");
  const headings = all("h1, h2, h3, h4, h5, h6").filter(visible);
  const first = headings.filter((heading) => heading.tagName === "H1");
  if (first.length !== 1) problems.push(`the page has ${first.length} h1`);
  headings.reduce((level, heading) => {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) problems.push(`${name(heading)} follows a heading of level ${level}`);
    if (!heading.textContent.trim()) problems.push(`an empty h${own}`);
    return own;
  }, 0);
  const ids = all("[id]").map((element) => element.id);
  const repeated = new Set(ids.filter((id, index) => ids.indexOf(id) !== index));
  for (const id of repeated) problems.push(`the id ${id} is there more than once`);

  // pictures, tables and controls that a screen reader can name
  for (const image of all("img")) if (!image.hasAttribute("alt")) problems.push(`no alt: ${image.src}`);
  for (const drawing of all("svg")) {
    // an icon of a control has the control's name
    if (drawing.parentElement.closest("svg, a, button, label, summary, [aria-hidden=true]")) continue;
    if (!visible(drawing)) continue;
    const title = drawing.querySelector(":scope > title")?.textContent.trim();
    const hidden = drawing.getAttribute("aria-hidden") === "true";
    if (!hidden && !labelOf(drawing) && !title && !labelOf(drawing.parentElement)) {
      const where = drawing.closest("section, figure")?.textContent || "";
      problems.push(`a drawing without a title: ${where.trim().slice(0, 60)}`);
    }
  }
  for (const table of all("table").filter(visible)) {
    const heads = [...table.querySelectorAll("th")];
    if (!heads.length) problems.push(`a table without headers: ${name(table)}`);
  }
  for (const control of all("a[href], button, summary, input, select").filter(visible)) {
    const text = control.textContent.trim() || labelOf(control) || control.querySelector("img[alt]")?.alt;
    const labelled = control.labels?.length || control.getAttribute("placeholder");
    if (!text && !labelled) problems.push(`a control without a name: ${control.outerHTML.slice(0, 80)}`);
  }
  for (const box of all("*").filter(visible)) {
    const scrolls = /auto|scroll/.test(getComputedStyle(box).overflowX) && box.scrollWidth > box.clientWidth + 1;
    if (!scrolls || box === document.documentElement || box === document.body) continue;
    if (box.tabIndex < 0 && !box.querySelector("a[href], button, input")) {
      problems.push(`the keyboard cannot scroll ${name(box)}`);
    }
  }

  // width
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = all("body *").filter((box) => box.getBoundingClientRect().right > root.clientWidth + 1);
    problems.push(`${root.scrollWidth} px in ${root.clientWidth}, through ${wide.slice(0, 3).map(name)}`);
  }

  // contrast, by the formulas of WCAG 2
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parsed = new Map();
  const colour = (text) => {
    if (!parsed.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
      parsed.set(text, [red, green, blue, alpha / 255]);
    }
    return parsed.get(text);
  };
  const over = (upper, lower) => {
    const alpha = upper[3] + lower[3] * (1 - upper[3]);
    if (!alpha) return [0, 0, 0, 0];
    const mix = (index) => (upper[index] * upper[3] + lower[index] * lower[3] * (1 - upper[3])) / alpha;
    return [mix(0), mix(1), mix(2), alpha];
  };
  const faded = ([red, green, blue, alpha], opacity) => [red, green, blue, alpha * opacity];
  const luminance = (rgb) => {
    const linear = rgb.slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (one, other) => {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const opacityOf = (element) => {
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    return opacity;
  };
  const painted = (element) => {
    const style = getComputedStyle(element);
    const shape = element instanceof SVGGeometryElement;
    const paint = shape ? style.fill : style.backgroundColor;
    if (element instanceof SVGElement && !shape && !(element instanceof SVGSVGElement)) return [0, 0, 0, 0];
    if (!paint || paint === "none" || paint.startsWith("url")) return [0, 0, 0, 0];
    return faded(colour(paint), (shape ? Number(style.fillOpacity) : 1) * opacityOf(element));
  };
  const scheme = getComputedStyle(root).colorScheme.includes("dark")
    && matchMedia("screen and (prefers-color-scheme: dark)").matches;
  const canvasColour = scheme ? [18, 18, 18, 1] : [255, 255, 255, 1];
  const behind = (element, x, y) => {
    let colours = [0, 0, 0, 0];
    const stack = document.elementsFromPoint(x, y);
    const from = stack.findIndex((other) => other === element || other.contains(element));
    const below = stack.slice(Math.max(from, 0)).filter((other) => !other.closest("text"));
    for (const other of below) {
      colours = over(colours, painted(other));
      if (colours[3] > 0.999) return colours;
    }
    return over(colours, canvasColour);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  const low = new Map();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || judged.has(element) || !visible(element)) continue;
    if (element.closest("title, desc, script, style, noscript, [aria-hidden=true]")) continue;
    judged.add(element);
    element.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const box = [...range.getClientRects()].find((rect) => rect.width > 1 && rect.height > 1);
    if (!box) continue;
    const x = box.left + box.width / 2, y = box.top + box.height / 2;
    if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue;
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const background = behind(element, x, y);
    const shown = over(faded(colour(ink), opacityOf(element)), background);
    const ratio = contrast(shown, background);
    if (ratio < 4.5) low.set(`${element.tagName} ${ink} ${background.map(Math.round)}`,
      `contrast ${ratio.toFixed(2)} of ${name(element)}, ${ink} on ${background.map(Math.round)}`);
  }
  scrollTo({ top: 0, behavior: "instant" });
  return [...problems, ...low.values()];
}
