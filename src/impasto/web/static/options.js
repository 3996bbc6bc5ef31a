// All options, drawn from what the server says of Recipe; only those that were changed are sent.

const OWN = new Set(["style_weight", "style_scale", "color", "size", "blend", "style_loss", "laplacian", "instant"]);

export class Options {
  constructor(place, search, changed) {
    Object.assign(this, { place, changed, values: {}, fields: [] });
    search.addEventListener("input", () => this.show(search.value.trim().toLowerCase()));
  }

  draw(schema) {
    this.fields = schema.fields.filter((field) => !OWN.has(field.name));
    for (const field of this.fields) this.place.append(this.row(field));
  }

  row(field) {
    const label = document.createElement("label");
    label.dataset.text = `${field.name} ${field.flag} ${field.help}`.toLowerCase();
    const input = document.createElement(field.kind === "choice" ? "select" : "input");
    if (field.kind === "choice") for (const choice of field.choices) input.add(new Option(choice, choice));
    else if (field.kind === "boolean") input.type = "checkbox";
    else if (["integer", "number"].includes(field.kind)) {
      input.type = "number";
      input.step = field.kind === "integer" ? 1 : "any";
      if (field.minimum != null) input.min = field.minimum;
      if (field.maximum != null) input.max = field.maximum;
    }
    const shown = Array.isArray(field.default) ? field.default.join(", ") : field.default;
    if (field.kind === "boolean") input.checked = field.default;
    else input.value = shown;
    input.addEventListener("change", () => this.change(field, input, label, shown));
    const help = document.createElement("small");
    help.textContent = field.help;
    label.append(field.name.replaceAll("_", " "), input, help);
    return label;
  }

  change(field, input, label, shown) {
    const same = field.kind === "boolean" ? input.checked === field.default : input.value === String(shown);
    label.classList.toggle("changed", !same);
    if (same) delete this.values[field.name];
    else if (field.kind === "boolean") this.values[field.name] = input.checked;
    else if (["integer", "number"].includes(field.kind)) this.values[field.name] = Number(input.value);
    else if (field.kind === "several")
      this.values[field.name] = input.value
        .split(",")
        .map((part) => part.trim())
        .filter(Boolean)
        .map((part) => (field.of === "text" ? part : Number(part)));
    else this.values[field.name] = input.value;
    this.changed();
  }

  show(words) {
    for (const row of this.place.children) row.hidden = !row.dataset.text.includes(words);
  }
}
