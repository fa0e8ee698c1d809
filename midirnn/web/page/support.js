// Shows a message if the browser is too old for the page. An old browser must understand this script.

(function () {
  const isNew =
    "noModule" in HTMLScriptElement.prototype &&
    "WebSocket" in window &&
    "ResizeObserver" in window &&
    "replaceChildren" in Element.prototype &&
    "roundRect" in CanvasRenderingContext2D.prototype;
  if (isNew) return;
  const line = document.createElement("p");
  line.className = "unsupported";
  line.setAttribute("role", "alert");
  line.textContent =
    "This browser is too old for the page. Use a current Firefox, Chrome, Edge or Safari.";
  document.body.insertBefore(line, document.body.firstChild);
})();
