// The API to click through, from the description this server gives of it.
addEventListener("load", () => SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reference", deepLinking: true, validatorUrl: null }));
