// A part of the photo painted over, to be kept as it is: white where the brush was, with soft edges.

export class Brush {
  constructor(canvas, done) {
    Object.assign(this, { canvas, done, strokes: [], drawing: false });
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.drawing && this.add(event));
    addEventListener("pointerup", () => this.end());
  }

  open(width, height) {
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.strokes = [];
    }
    this.canvas.hidden = false;
    this.draw();
  }

  close() {
    this.canvas.hidden = true;
  }

  undo() {
    this.strokes.pop();
    this.draw();
    this.send();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = Math.min(box.width / this.canvas.width, box.height / this.canvas.height);
    return [
      (event.clientX - box.left - (box.width - scale * this.canvas.width) / 2) / scale,
      (event.clientY - box.top - (box.height - scale * this.canvas.height) / 2) / scale,
    ];
  }

  begin(event) {
    event.preventDefault();
    this.drawing = true;
    this.strokes.push({ size: Math.max(this.canvas.width, this.canvas.height) / 14, points: [] });
    this.add(event);
  }

  add(event) {
    this.strokes.at(-1).points.push(this.place(event));
    this.draw();
  }

  end() {
    if (this.drawing) this.send();
    this.drawing = false;
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = "white";
    for (const { size, points } of this.strokes) {
      pen.lineWidth = size;
      pen.filter = `blur(${size / 8}px)`;
      pen.beginPath();
      for (const [x, y] of points.length > 1 ? points : [points[0], points[0]]) pen.lineTo(x, y);
      pen.stroke();
    }
    pen.filter = "none";
  }

  send() {
    if (!this.strokes.length) return this.done(null);
    const mask = document.createElement("canvas");
    mask.width = this.canvas.width;
    mask.height = this.canvas.height;
    const pen = mask.getContext("2d");
    pen.fillRect(0, 0, mask.width, mask.height);
    pen.drawImage(this.canvas, 0, 0);
    mask.toBlob((blob) => this.done(blob), "image/png");
  }
}
