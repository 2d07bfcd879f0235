// Elements, made by hand. Whatever comes from the server or from file names goes in as text.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `on…` attributes that are functions listen; null, undefined and false are left out,
 * true stands alone. Strings and numbers among the children become text, never markup; null and
 * false become nothing.
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  setAll(made, attributes);
  made.append(...present(children));
  return made;
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  setAll(made, attributes);
  made.append(...present(children));
  return made;
}

/** Put these in the place of whatever is in `parent`. */
export function fill(parent, ...children) {
  parent.replaceChildren(...present(children));
  return parent;
}

/** Let these be the children of `parent`; those that stay keep the focus. */
export function arrange(parent, elements) {
  const staying = new Set(elements);
  for (const child of Array.from(parent.children)) if (!staying.has(child)) child.remove();
  elements.forEach((element, place) => {
    const there = parent.children[place];
    if (there !== element) parent.insertBefore(element, there ?? null);
  });
}

/** Change a text only where it is another one: nobody is told of what stays. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Tell those who cannot see what happens. */
export function announce(text) {
  say(document.getElementById("announcer"), text);
}

/** Whether what is dropped or pasted there is text for a field. */
export function isTextField(target) {
  return target instanceof Element && target.closest("input, textarea") !== null;
}

/** `first` at most once a frame, however often the result is called. */
export function oncePerFrame(first) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      first();
    });
  };
}

function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

function present(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}
