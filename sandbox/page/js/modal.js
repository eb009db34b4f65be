// Forms the bot opens: text inputs, selects, choices, files, with the checks Discord's client makes before sending.
// Knows labels and limits; must never close a form whose answers were not accepted.

import { fill, freshId, h } from "./dom.js";
import { readFile } from "./files.js";
import { icon } from "./icons.js";
import { markdown } from "./markdown.js";
import { selectControl } from "./selects.js";

/** Opens a form. `scene`: {store, names, submit(values), closed()}; submit resolves when the sandbox accepted it. Returns {close()}. */
export function openModal(modal, scene) {
  const inputs = [];
  const error = h("div", { class: "modal-error", role: "alert" });
  const send = h("button", { type: "submit", class: "button primary" }, "Submit");
  const heading = freshId("modal");
  const dialog = h("dialog", { class: "modal", "aria-labelledby": heading });
  const close = () => {
    if (!dialog.isConnected) return;
    dialog.close();
    dialog.remove();
    scene.closed();
  };
  const form = h("form", { novalidate: true },
    h("header", { class: "modal-head" }, h("h2", { id: heading }, modal.title), h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: close }, icon("close"))),
    h("div", { class: "modal-body" }, (modal.components ?? []).map((component) => part(component, inputs, scene))), error,
    h("footer", { class: "modal-foot" }, h("button", { type: "button", class: "button secondary", onclick: close }, "Cancel"), send));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = await collect(inputs);
    if (!values) return;
    fill(error);
    send.disabled = true;
    send.classList.add("busy");
    try {
      await scene.submit(values);
      close();
    } catch (failure) {
      fill(error, failure.message);
    } finally {
      send.disabled = false;
      send.classList.remove("busy");
    }
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  dialog.append(form);
  document.body.append(dialog);
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
  dialog.showModal();
  (dialog.querySelector("textarea, input, .select") ?? send).focus();
  return { close };
}

async function collect(inputs) {
  const values = {};
  let firstWrong = null;
  for (const input of inputs) {
    let wrong = input.check();
    if (!wrong) {
      try {
        const value = await input.value();
        if (value !== undefined) values[input.id] = value;
      } catch (failure) {
        wrong = failure.message;
      }
    }
    input.complain(wrong);
    if (wrong) firstWrong ??= input;
  }
  firstWrong?.focus();
  return firstWrong ? null : values;
}

function part(component, inputs, scene) {
  if (component.type === 18) return field(component.component, component.label, component.description, inputs, scene);
  if (component.type === 1) return (component.components ?? []).map((child) => field(child, child.label ?? child.placeholder ?? "Choose", null, inputs, scene));
  if (component.type === 10) return h("div", { class: "modal-text" }, markdown(component.content, scene.names));
  return h("p", { class: "unknown-part" }, `A part of a kind this page does not know (${component.type}).`);
}

function field(component, label, description, inputs, scene) {
  const id = freshId("input");
  const control = CONTROLS[component.type]?.(component, { id, label, scene });
  if (!control) return h("p", { class: "unknown-part" }, `${label}: a kind of input this page does not know (${component.type}).`);
  const required = component.required ?? (component.type !== 23);
  const problem = h("div", { class: "field-error", id: `${id}-error` });
  const complain = (words) => {
    fill(problem, words);
    control.focusable.setAttribute("aria-invalid", String(Boolean(words)));
  };
  inputs.push({ id: component.custom_id, value: control.value, check: () => control.check(required), complain, focus: () => control.focusable.focus() });
  control.focusable.setAttribute("aria-describedby", `${id}-error${description ? ` ${id}-about` : ""}`);
  const title = [label, required && h("span", { class: "star", title: "Required" }, "*")];
  const group = control.group;
  return h(group ? "fieldset" : "div", { class: "modal-field" },
    group ? h("legend", null, title) : h("label", { for: id }, title),
    description && h("div", { class: "field-about", id: `${id}-about` }, description), control.element, problem);
}

const needed = (empty, required) => (empty && required ? "This is required." : null);

const CONTROLS = {
  4: textInput, 3: choice, 5: choice, 6: choice, 7: choice, 8: choice, 19: upload, 21: radios, 22: checks, 23: tick,
};

function textInput(component, { id }) {
  const long = component.style === 2;
  const limit = component.max_length ?? 4000;
  const input = h(long ? "textarea" : "input", { id, class: "text-input", placeholder: component.placeholder ?? null, rows: long ? "5" : null, type: long ? null : "text", autocomplete: "off", value: component.value ?? "" });
  const count = h("span", { class: "field-count", "aria-hidden": "true" });
  const draw = () => {
    count.textContent = component.max_length ? `${input.value.length} / ${limit}` : "";
    count.classList.toggle("over", input.value.length > limit);
  };
  input.addEventListener("input", draw);
  draw();
  return {
    element: h("div", { class: "text-box" }, input, count), focusable: input, value: () => input.value,
    check: (required) => {
      const size = input.value.length;
      if (size > limit) return `At most ${limit} characters; this has ${size}.`;
      if (size && size < (component.min_length ?? 0)) return `At least ${component.min_length} characters; this has ${size}.`;
      return needed(!input.value.trim(), required);
    },
  };
}

function choice(component, { id, label, scene }) {
  const control = selectControl(component, scene.store, { changed: () => {}, label });
  control.element.id = id;
  return {
    element: control.element, focusable: control.element, value: () => control.values(),
    check: (required) => {
      const size = control.values().length;
      const min = component.min_values ?? 1;
      if (size && size < min) return `Choose at least ${min}.`;
      return needed(size === 0 && min > 0, required);
    },
  };
}

function upload(component, { id }) {
  const max = component.max_values ?? 1;
  const input = h("input", { type: "file", id, class: "file-input", multiple: max > 1 });
  return {
    element: input, focusable: input, value: () => Promise.all([...input.files].map(readFile)),
    check: (required) => {
      if (input.files.length > max) return `At most ${max} ${max === 1 ? "file" : "files"}.`;
      return needed(input.files.length < Math.max(1, component.min_values ?? 1), required && (component.min_values ?? 1) > 0);
    },
  };
}

function options(component, id, type, chosen) {
  return (component.options ?? []).map((option, index) => {
    const input = h("input", { type, name: id, value: option.value, id: index === 0 ? id : null });
    input.checked = Boolean(option.default) && chosen;
    return { input, element: h("label", { class: "option" }, input, h("span", null, option.label, option.description && h("small", null, option.description))) };
  });
}

function radios(component, { id }) {
  const rows = options(component, id, "radio", true);
  const value = () => rows.find((row) => row.input.checked)?.input.value;
  return { group: true, element: h("div", { class: "options" }, rows.map((row) => row.element)), focusable: rows[0].input, value, check: (required) => needed(!value(), required) };
}

function checks(component, { id }) {
  const rows = options(component, id, "checkbox", true);
  const values = () => rows.filter((row) => row.input.checked).map((row) => row.input.value);
  return {
    group: true, element: h("div", { class: "options" }, rows.map((row) => row.element)), focusable: rows[0].input, value: values,
    check: (required) => {
      const size = values().length;
      const min = component.min_values ?? (required ? 1 : 0);
      const max = component.max_values ?? rows.length;
      if (size > max) return `Choose at most ${max}.`;
      if (size < min && (required || size)) return `Choose at least ${min}.`;
      return null;
    },
  };
}

function tick(component, { id, label }) {
  const input = h("input", { type: "checkbox", id });
  input.checked = Boolean(component.default);
  return { element: h("label", { class: "option" }, input, h("span", null, label)), focusable: input, value: () => input.checked, check: () => null };
}
