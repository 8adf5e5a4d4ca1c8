import java.time.Duration;
import java.util.Map;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;

/** Looks at the stocks of a sku and buys two pieces, with Spring's request/reply. */
public class ShopClient {

    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /** Takes brokers, a reply topic, a user and a sku; prints a reply a line. */
    public static void main(String[] args) throws Exception {
        String brokers = args[0], replies = args[1], user = args[2], sku = args[3];
        Map<String, Object> options = Map.of("bootstrap.servers", brokers);
        var producers = new DefaultKafkaProducerFactory<String, String>(
            options, new StringSerializer(), new StringSerializer());
        var consumers = new DefaultKafkaConsumerFactory<String, String>(
            options, new StringDeserializer(), new StringDeserializer());
        var properties = new ContainerProperties(replies);
        properties.setGroupId("spring-client-" + user);
        var container = new KafkaMessageListenerContainer<String, String>(consumers, properties);
        var template = new ReplyingKafkaTemplate<>(producers, container);
        template.setDefaultReplyTimeout(PATIENCE);
        template.afterPropertiesSet();
        template.start();
        template.waitForAssignment(PATIENCE);

        String line = "{\"type\": \"addToCart\", \"user\": %s, \"sku\": %s, \"count\": 2}";
        ask(template, "stock.requests", sku, "{\"type\": \"stocks\", \"sku\": %s}".formatted(sku));
        ask(template, "cart.requests", user, line.formatted(user, sku));
        ask(template, "cart.requests", user, "{\"type\": \"purchase\", \"user\": %s}".formatted(user));

        template.stop();
        template.destroy();
        producers.destroy();
    }

    private static void ask(
            ReplyingKafkaTemplate<String, String, String> template,
            String topic, String key, String value) throws Exception {
        var request = new ProducerRecord<>(topic, key, value);
        System.out.println(template.sendAndReceive(request).get().value());
    }
}
