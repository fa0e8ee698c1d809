import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    files: ["midirnn/web/page/*.js"],
    languageOptions: { globals: { ...globals.browser, ...globals.worker } },
    rules: {
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "max-lines": ["error", 350],
      "no-implicit-globals": "error",
      "no-param-reassign": "error",
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
