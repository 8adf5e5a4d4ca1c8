package shop;

import static com.fasterxml.jackson.databind.DeserializationFeature.ACCEPT_FLOAT_AS_INT;
import static com.fasterxml.jackson.databind.DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES;
import static com.fasterxml.jackson.databind.DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES;
import static com.fasterxml.jackson.databind.DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES;
import static com.fasterxml.jackson.databind.DeserializationFeature.FAIL_ON_TRAILING_TOKENS;

import com.fasterxml.jackson.annotation.JsonTypeInfo;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** JSON of messages, HTTP bodies and rows. */
final class Json {
  /** Messages: no field is missing or unknown, and numbers are numbers. */
  static final JsonMapper MESSAGES =
      JsonMapper.builder()
          .enable(FAIL_ON_MISSING_CREATOR_PROPERTIES, FAIL_ON_NULL_CREATOR_PROPERTIES)
          .enable(FAIL_ON_NULL_FOR_PRIMITIVES, FAIL_ON_TRAILING_TOKENS)
          .disable(ACCEPT_FLOAT_AS_INT)
          .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
          .build();

  /** HTTP bodies: the same without "type", which the path has. */
  static final JsonMapper BODIES =
      MESSAGES
          .rebuild()
          .addMixIn(Messages.CartRequest.class, Untyped.class)
          .addMixIn(Messages.OrderRequest.class, Untyped.class)
          .addMixIn(Messages.StockRequest.class, Untyped.class)
          .addMixIn(Messages.Reply.class, Untyped.class)
          .build();

  /** Rows have ids as field names: Jackson's cache of names would grow without end. */
  private static final JsonMapper ROWS =
      JsonMapper.builder(
              JsonFactory.builder()
                  .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                  .build())
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .build();

  @JsonTypeInfo(use = JsonTypeInfo.Id.NONE)
  private interface Untyped {}

  private Json() {}

  static <T> Serde<T> rows(Class<T> type) {
    Serializer<T> writer = (topic, row) -> row == null ? null : bytes(ROWS, row);
    return Serdes.serdeFrom(writer, reader(ROWS, type));
  }

  static <T> Deserializer<T> messages(Class<T> type) {
    return reader(MESSAGES, type);
  }

  static byte[] bytes(JsonMapper mapper, Object value) {
    try {
      return mapper.writeValueAsBytes(value);
    } catch (JsonProcessingException error) {
      throw new SerializationException(error);
    }
  }

  private static <T> Deserializer<T> reader(JsonMapper mapper, Class<T> type) {
    ObjectReader reader = mapper.readerFor(type);
    return (topic, data) -> {
      try {
        return data == null ? null : reader.readValue(data);
      } catch (IOException error) {
        throw new SerializationException(error);
      }
    };
  }
}
