/** Lint rules of this project, beside Deno's own. */
const BANNED = new Set(["begin", "reserve"]);

// A default export: the form that `deno lint` demands of a plugin.
export default {
  name: "parley",
  rules: {
    "no-sql-transaction": {
      create: (context) => ({
        MemberExpression({ object, property, range }) {
          if (object.type !== "Identifier" && object.type !== "MemberExpression") return;
          const name = object.type === "Identifier"
            ? object.name
            : object.property.type === "Identifier"
            ? object.property.name
            : "";
          if (name !== "sql" || property.type !== "Identifier" || !BANNED.has(property.name)) return;
          const message =
            `sql.${property.name} can commit what was rolled back when a backend dies: write one statement`;
          context.report({ range, message });
        },
      }),
    },
  },
} satisfies Deno.lint.Plugin;
