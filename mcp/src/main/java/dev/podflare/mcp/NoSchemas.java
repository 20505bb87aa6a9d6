package dev.podflare.mcp;

import io.modelcontextprotocol.json.schema.JsonSchemaValidator;
import java.util.Map;

/**
 * Finds all in order: the tools' answers have no schema, and the tools check their arguments
 * themselves, to say what is wrong in words for a model.
 */
final class NoSchemas implements JsonSchemaValidator {

  @Override
  public ValidationResponse validate(Map<String, Object> schema, Object content) {
    return ValidationResponse.asValid("");
  }

  @Override
  public ValidationResponse validateSchema(Map<String, Object> schema) {
    return ValidationResponse.asValid("");
  }
}
